"""The controller's database: models, migrations, and the arbiter's rule under compare-and-set."""
