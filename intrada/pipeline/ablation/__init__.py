"""The ablation: recipes x seeds, every shared stage computed once. ablation/dvc.yaml calls it."""
