"""Routes for monitors outside Airflow, which have no login there."""

from fastapi import APIRouter

router = APIRouter()
