"""`/v1/models` through OpenAI's own client."""

import pytest
from openai import NotFoundError, OpenAI


def test_the_model_and_its_versions_are_listed(client: OpenAI) -> None:
    found = list(client.models.list())
    assert [model.id for model in found] == ["atlas", "atlas@1", "atlas@0"]
    assert {(model.object, model.owned_by) for model in found} == {("model", "errata")}
    assert found[0].created == found[1].created >= found[2].created > 1_700_000_000


@pytest.mark.parametrize("name", ["atlas", "atlas@0", "atlas@1"])
def test_one_of_them(name: str, client: OpenAI) -> None:
    assert client.models.retrieve(name) in list(client.models.list())


UNKNOWN = ["gpt-4", "atlas@2", "atlas@01", "atlas@-1", "atlas@", "@0", "atlas@" + "9" * 30]
UNKNOWN += ["Atlas", "atlas@٣", "atlas/x", " "]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_served(name: str, client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as retrieved:
        client.models.retrieve(name)
    with pytest.raises(NotFoundError) as asked:
        client.completions.create(model=name, prompt="Peru")
    for refusal in (retrieved.value, asked.value):
        assert (refusal.code, refusal.param) == ("model_not_found", "model")
        assert refusal.type == "invalid_request_error"
        assert f"the model `{name}` does not exist" in refusal.message
