"""`/v1`: the model in OpenAI's shapes, for clients that were written for those."""
