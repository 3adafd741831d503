"""Fits a relation space to a stock of questions: linear discriminant analysis, and its radii.

What differs between wordings of one question about one subject, and between subjects of one
question, is to be ignored; what differs between the questions about one subject is to be seen
(Fisher 1936; the between-class directions of the whitened features are kept).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from service.editing.entity.relation_space import Projection, RelationSpace
from service.editing.entity.stock import Question

DIMENSIONS = 24
# Of the mean variance within classes, what is added to that of each direction.
RIDGE = 0.3
# Of the other questions about an edit's subject, the share that may come within its radius: at the
# end of a prompt, and at a token that the model itself has said, of which a text has many. Chosen
# on records that no reported figure is made on.
FALSE_HITS = 0.03
DECODED_FALSE_HITS = 0.005
MOST_PAIRS = 1 << 22  # of questions that a radius is read off from


def fit(
    layer: int,
    sentence_layer: int,
    questions: Sequence[Question],
    states: Tensor,
    means: Tensor,
) -> RelationSpace:
    """The space for texts, which ask `questions`, with the last tokens' states and the sentences'
    means [n, d] float32.
    """
    # Both kinds of features count alike.
    scaled = [part / part.norm(dim=1).mean() for part in (states, means)]
    scale = torch.cat(
        [part.new_full(part.shape[1:], part.norm(dim=1).mean()) for part in (states, means)]
    )
    asked, asked_radius = _fitted(questions, torch.cat(scaled, dim=1), FALSE_HITS)
    decoded, decoded_radius = _fitted(questions, states, DECODED_FALSE_HITS)
    asked = Projection(asked.matrix / scale[:, None], asked.center)
    return RelationSpace(layer, sentence_layer, asked, decoded, asked_radius, decoded_radius)


def _fitted(
    questions: Sequence[Question], features: Tensor, false_hits: float
) -> tuple[Projection, float]:
    """The projection of features [n, f], and its radius."""
    matrix = _matrix(questions, features)
    center = features.double().mean(dim=0) @ matrix
    return Projection(matrix.float(), center.float()), _radius(questions, features, false_hits)


def _matrix(questions: Sequence[Question], features: Tensor) -> Tensor:
    """[f, k] float64."""
    features = features.double()
    asked = torch.tensor([(q.subject, q.relation) for q in questions])
    classes, class_of = asked.unique(dim=0, return_inverse=True)
    means = _means(features, class_of)
    wordings = _scatter(features, class_of)
    subjects = _scatter(means, classes[:, 1])
    relations = _scatter(means, classes[:, 0])
    variances, axes = torch.linalg.eigh(wordings + subjects)
    variances = variances.clamp(min=0)
    ridge = RIDGE * variances.mean() + torch.finfo(torch.float64).tiny
    whitened = axes / (variances + ridge).sqrt()
    _, directions = torch.linalg.eigh(whitened.T @ relations @ whitened)
    found: Tensor = whitened @ directions[:, -DIMENSIONS:]
    return found


def _means(rows: Tensor, group_of: Tensor) -> Tensor:
    """[g, f]: the mean of each group's rows."""
    counts = group_of.bincount().clamp(min=1)
    sums = rows.new_zeros(len(counts), rows.shape[1]).index_add(0, group_of, rows)
    return sums / counts[:, None]


def _scatter(rows: Tensor, group_of: Tensor) -> Tensor:
    """[f, f]: the covariance of rows within their groups, of which those with one row say
    nothing.
    """
    freedom = (group_of.bincount() - 1).clamp(min=0).sum().clamp(min=1)
    centred = rows - _means(rows, group_of)[group_of]
    return centred.T @ centred / freedom


def _radius(questions: Sequence[Question], features: Tensor, false_hits: float) -> float:
    """A low quantile of the distances between different questions about one subject, in
    projections that they were not fitted to: each half of the relations is measured by the other.
    """
    relations = torch.tensor([q.relation for q in questions])
    between = []
    for half in (0, 1):
        known = relations % 2 != half
        fitted = [q for q, is_in in zip(questions, known.tolist(), strict=True) if is_in]
        others = [q for q, is_in in zip(questions, known.tolist(), strict=True) if not is_in]
        matrix = _matrix(fitted, features[known])
        own = normalize(
            (features[~known].double() - features[known].double().mean(dim=0)) @ matrix, dim=1
        )
        for subject in sorted({q.subject for q in others}):
            rows = [i for i, q in enumerate(others) if q.subject == subject]
            asked = torch.tensor([others[i].relation for i in rows])
            apart = 1 - own[rows] @ own[rows].T
            between.append(apart[asked[:, None] != asked])
    return float(torch.cat(between)[:MOST_PAIRS].quantile(false_hits))
