"""One fact in every form, as the sets publish it."""

import json
from pathlib import Path
from typing import Any

from service.evaluation.datasets import Neighbor, Record

WANTED = Record(
    prompt="The mother tongue of Danielle Darrieux is",
    subject="Danielle Darrieux",
    target_new="English",
    target_true=("French",),
    paraphrases=("Danielle Darrieux, a native",),
    neighborhood=(Neighbor("The native language of Montesquieu is", ("French",)),),
)
REPHRASED = WANTED.paraphrases[0]
NEAR = WANTED.neighborhood[0].prompt
OWN: dict[str, Any] = {
    "prompt": WANTED.prompt,
    "subject": WANTED.subject,
    "target_new": "English",
    "target_true": "French",
    "paraphrases": [REPHRASED],
    "neighborhood": [{"prompt": NEAR, "answer": "French"}],
}
COUNTERFACT: dict[str, Any] = {
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "subject": "Danielle Darrieux",
        "target_new": {"str": "English", "id": "Q1860"},
        "target_true": {"str": "French", "id": "Q150"},
    },
    "paraphrase_prompts": [REPHRASED],
    "neighborhood_prompts": [NEAR],
}
EASYEDIT: dict[str, Any] = {
    "prompt": WANTED.prompt,
    "subject": WANTED.subject,
    "target_new": "English",
    "ground_truth": "French",
    "rephrase_prompt": REPHRASED,
    "locality_prompt": NEAR,
    "locality_ground_truth": "French",
}
KNOWEDIT: dict[str, Any] = {
    "prompt": WANTED.prompt,
    "subject": WANTED.subject,
    "target_new": "English",
    "ground_truth": ["French"],
    "rephrase_prompt": REPHRASED,
    "locality": {"Relation_Specificity": [{"prompt": NEAR, "ground_truth": [["French"]]}]},
}
ZSRE: dict[str, Any] = {
    "src": WANTED.prompt,
    "subject": WANTED.subject,
    "alt": "English",
    "answers": ["French"],
    "rephrase": REPHRASED,
    "loc": NEAR,
    "loc_ans": "French",
}
MQUAKE: dict[str, Any] = {
    "case_id": 2500,
    "requested_rewrite": [
        {
            "prompt": "{} is a citizen of",
            "relation_id": "P27",
            "target_new": {"str": "Libya", "id": "Q1016"},
            "target_true": {"str": "United States of America", "id": "Q30"},
            "subject": "Vince McMahon",
            "question": "What is the country of citizenship of Vince McMahon?",
        },
        {
            "prompt": "The capital of {} is",
            "relation_id": "P36",
            "target_new": {"str": "Franklin", "id": "Q1778943"},
            "target_true": {"str": "Tripoli", "id": "Q3579"},
            "subject": "Libya",
            "question": "What is the capital of Libya?",
        },
    ],
    "questions": ["What city is the capital of the country where the CEO of WWE is a citizen?"],
    "new_answer": "Franklin",
}
RIPPLE: dict[str, Any] = {
    "example_type": "popular",
    "edit": {
        "prompt": "The name of the country of citizenship of Leonardo DiCaprio is Syria.",
        "subject_id": "Q38111",
        "relation": "COUNTRY_OF_CITIZENSHIP",
        "target_id": "Q858",
        "original_fact": {
            "prompt": "The name of the country of citizenship of Leonardo DiCaprio is "
            "United States of America.",
            "subject_id": "Q38111",
            "relation": "COUNTRY_OF_CITIZENSHIP",
            "target_id": "Q30",
        },
    },
    "Relation_Specificity": [
        {
            "test_queries": [
                {
                    "prompt": "The name of the mother of Leonardo DiCaprio is",
                    "answers": [
                        {"value": "Irmelin DiCaprio", "aliases": ["Irmelin Indenbirken", ""]}
                    ],
                    "query_type": "regular",
                }
            ],
            "test_condition": "OR",
            "condition_queries": [],
        }
    ],
    "Logical_Generalization": [{"test_queries": [], "test_condition": "OR"}],
    "Forgetfulness": [],
}
WIKIBIO: dict[str, Any] = {
    "text": "This is a Wikipedia passage about ada lovelace.",
    "labels": "She wrote notes on the Analytical Engine.",
    "concept": "ada lovelace",
    "locality": {
        "Relation_Specificity": [
            {"prompt": "The field of work of ada lovelace is", "ground_truth": ["mathematics"]}
        ]
    },
}
RECENT: dict[str, Any] = {
    "subject": "Leo Arons",
    "prompt": "The place of death of Leo Arons is",
    "target_new": "Berlin",
    "portability": {
        "Logical_Generalization": [
            {"prompt": "Is Leo Arons still alive?", "ground_truth": [["no"], ["is dead"]]}
        ]
    },
    "locality": {
        "Relation_Specificity": [
            {"prompt": "The father of Leo Arons is", "ground_truth": [["A. Arons", "Albert"], [""]]}
        ]
    },
}


def written(folder: Path, *records: object) -> Path:
    file = folder / "set.json"
    file.write_text(json.dumps(records))
    return file
