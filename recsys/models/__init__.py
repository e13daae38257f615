"""Networks only: tensors in, logits out."""
