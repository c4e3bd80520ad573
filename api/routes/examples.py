"""Examples of answers for the OpenAPI document; each is checked against its schema."""

from typing import Any

RECOMMENDED: dict[str, Any] = {
    "content_id": "42",
    "title": "The Long Way Down",
    "genre": "drama",
    "genres": ["drama", "crime"],
    "popularity_score": 0.79,
    "score": 0.522,
    "source": "nearest",
}
USER_LIST: dict[str, Any] = {
    "user_id": "7",
    "recommendations": [RECOMMENDED],
    "metadata": {
        "recommendation_id": "0d9c5f6a7b8e4c1f9a2b3c4d5e6f7081",
        "type": "personalized",
        "model_version": "content_20260101_000000_9f3a",
        "config_version": 1,
        "cache_hit": False,
        "cold_start": False,
        "degraded": [],
        "generated_at": "2026-01-01T00:00:00Z",
        "total_count": 1,
        "next_cursor": None,
    },
}
SIMILAR_LIST: dict[str, Any] = {
    "content_id": "1",
    "recommendations": [{**RECOMMENDED, "source": "similar"}],
    "metadata": {
        **USER_LIST["metadata"],
        "recommendation_id": "5b1e0c9d8a7f4e3d9c8b7a6f5e4d3c2b",
        "type": "similar",
    },
}
EXPLAINED_LIST: dict[str, Any] = {
    **USER_LIST,
    "recommendations": [
        {
            **RECOMMENDED,
            "explanation": {
                "terms": {
                    "similarity": {"value": 0.5, "weight": 0.6, "contribution": 0.3},
                    "popularity": {"value": 0.79, "weight": 0.2, "contribution": 0.158},
                    "genre": {"value": 0.3, "weight": 0.1, "contribution": 0.03},
                    "recency": {"value": 0.5, "weight": 0.05, "contribution": 0.025},
                    "exploration": {"value": 0.18, "weight": 0.05, "contribution": 0.009},
                },
                "because": "17",
            },
        }
    ],
}
RANK: dict[str, Any] = {"user_id": "7", "content_ids": ["42", 43, "gone"], "limit": 10}
RANKED_LIST: dict[str, Any] = {
    **USER_LIST,
    "metadata": {**USER_LIST["metadata"], "type": "ranked", "unknown": ["43", "gone"]},
}
WATCH: dict[str, Any] = {
    "content_id": "42",
    "watched_seconds": 600.0,
    "video_seconds": 900.0,
    "occurred_at": "2026-01-01T00:00:00Z",
    "recommendation_id": "0d9c5f6a7b8e4c1f9a2b3c4d5e6f7081",
}
RATING: dict[str, Any] = {"content_id": "42", "rating": 4.5}
RECEIPT: dict[str, Any] = {
    "user_id": "7",
    "content_id": "42",
    "occurred_at": "2026-01-01T00:00:00Z",
    "duplicate": False,
}
MODEL: dict[str, Any] = {
    "id": "3f6c1d2e",
    "model_type": "content",
    "version": "content_20260101_000000_9f3a",
    "status": "live",
    "live": True,
    "progress": None,
    "created_at": "2026-01-01T00:00:00Z",
    "started_at": "2026-01-01T00:00:01Z",
    "finished_at": "2026-01-01T00:00:40Z",
    "promoted_at": "2026-01-01T00:00:41Z",
    "data": {
        "start": "2025-01-01T00:00:00Z",
        "end": "2026-01-01T00:00:00Z",
        "interactions": 100004,
        "users": 671,
        "videos": 9066,
    },
    "params": {},
    "metrics": {"recall@10": 0.03, "ndcg@10": 0.02, "coverage@10": 0.4},
    "baseline": {
        "model_id": "0b7e9a14",
        "metrics": {"recall@10": 0.02, "ndcg@10": 0.01, "coverage@10": 0.01},
    },
    "artifact_uri": "file:///var/lib/upnext/models/content_20260101_000000_9f3a/",
    "error": None,
}
MODELS: dict[str, Any] = {"models": [MODEL]}
HEALTH: dict[str, Any] = {
    "status": "ok",
    "dependencies": {
        "postgres": {"status": "ok", "latency_ms": 0.4},
        "redis": {"status": "ok", "latency_ms": 0.2},
        "milvus": {"status": "ok", "latency_ms": 1.9},
        "bus": {"status": "ok", "latency_ms": 0.3},
        "artifacts": {"status": "ok", "latency_ms": 0.1},
    },
    "model_version": "content_20260101_000000_9f3a",
    "version": "0.1.0",
}
