"""Foundation of the package: errors, files, locks, signals, seeding and hashing."""
