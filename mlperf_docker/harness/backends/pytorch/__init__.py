"""PyTorch: TorchScript as it is, networks traced."""
