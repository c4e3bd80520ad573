"""The MovieLens layout: movies.csv and ratings.csv, with tags.csv and plots.csv when there.

Columns beyond the ones named here are passed over.
"""

from ingest.movielens.movies import read_movies
from ingest.movielens.ratings import read_ratings

__all__ = ["read_movies", "read_ratings"]
