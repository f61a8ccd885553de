"""The ablation: every recipe with every seed; shared stages run once. ablation/dvc.yaml runs its jobs."""
