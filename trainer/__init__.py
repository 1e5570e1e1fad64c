"""The offline trainer: a (possibly poisoned) data set in, a defended LoRA adapter and its figures out."""
