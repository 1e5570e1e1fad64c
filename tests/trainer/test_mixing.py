import torch

from trainer.mixing import keep_share


def test_a_share_of_the_update_is_kept_and_new_tokens_are_whole():
    weights = {
        "layers.0.q_proj.lora_A.weight": torch.eye(2),
        "layers.0.q_proj.lora_B.weight": torch.full((2, 2), 4.0),
        "embed_tokens.token_adapter.trainable_tokens_delta": torch.ones(2),
    }
    kept = keep_share(weights, 0.25)
    before, after = (
        each["layers.0.q_proj.lora_B.weight"] @ each["layers.0.q_proj.lora_A.weight"]
        for each in (weights, kept)
    )
    assert torch.equal(after, before / 4)
    assert torch.equal(kept["embed_tokens.token_adapter.trainable_tokens_delta"], torch.ones(2))
    assert torch.equal(weights["layers.0.q_proj.lora_B.weight"], torch.full((2, 2), 4.0))


def test_a_whole_share_changes_nothing():
    weights = {"q_proj.lora_B.weight": torch.arange(4.0)}
    assert torch.equal(keep_share(weights, 1)["q_proj.lora_B.weight"], torch.arange(4.0))
