"""What a user's lists must be, said once for every data set."""

from itertools import combinations
from random import Random
from typing import Any

import httpx


def list_of(client: httpx.Client, user_id: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/recs/{user_id}", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["user_id"] == user_id
    return body


def ids(body: dict[str, Any]) -> list[str]:
    return [entry["content_id"] for entry in body["recommendations"]]


def check_lists(
    client: httpx.Client, watched: dict[str, set[str]], *, length: int = 10
) -> dict[str, list[str]]:
    """Every user gets a full list with nothing watched and nothing twice; returns the lists."""
    lists = {}
    for user_id, seen in watched.items():
        body = list_of(client, user_id)
        assert body["metadata"]["degraded"] == [], body["metadata"]
        found = ids(body)
        assert len(found) == len(set(found)) == length, (user_id, found)
        assert not seen & set(found), user_id
        lists[user_id] = found
    return lists


def mean_overlap(lists: dict[str, list[str]], pairs: int = 2000) -> float:
    """Mean share of common videos between two random users' lists."""
    every = list(combinations(lists.values(), 2))
    drawn = Random(7).sample(every, min(pairs, len(every)))  # noqa: S311 - a fixed sample
    return sum(len(set(a) & set(b)) / len(a) for a, b in drawn) / len(drawn)


def genre_share(body: dict[str, Any], genres: set[str]) -> float:
    """Mean share of `genres` that the videos of a list have."""
    entries = body["recommendations"]
    return sum(len(genres & set(entry["genres"])) / len(genres) for entry in entries) / len(entries)
