"""The schema's history (Alembic), carried with the package and applied when a controller starts."""
