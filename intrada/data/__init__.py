"""Images, labels and tables: datasets, index.csv, loaders and the batches of a training."""
