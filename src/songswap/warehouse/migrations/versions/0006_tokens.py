"""Current tokens and exchanges under way, outcomes of users in a run, what was told when."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0006_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    # Tokens that "SpotifyTokens" was too small for are in no other place: where it still is, this
    # fails, and nothing is changed. What was stored is noted, or it would be a new authorization.
    op.get_bind().exec_driver_sql(
        'WITH stored AS (UPDATE "SpotifyTokens" s SET'
        " access_token = CASE WHEN t.access_token = '' THEN s.access_token"
        " ELSE convert_from(t.access_token, 'UTF8') END,"
        " refresh_token = convert_from(t.refresh_token, 'UTF8')"
        " FROM songswap.tokens t WHERE s.id = t.user_id AND t.problem IS NOT NULL"
        " AND t.platform_digest = sha256(convert_to(s.refresh_token, 'UTF8'))"
        " RETURNING s.id, s.refresh_token)"
        " UPDATE songswap.grants g"
        " SET refresh_digest = sha256(convert_to(stored.refresh_token, 'UTF8'))"
        " FROM stored WHERE g.user_id = stored.id"
    )
    # The state of a run or a grant that the version before does not know becomes the nearest one.
    op.get_bind().exec_driver_sql(
        "DROP FUNCTION songswap.dead_runs, songswap.is_overtaken;"
        " UPDATE songswap.runs SET state = 'failed' WHERE state IN ('died', 'paused');"
        " ALTER TABLE songswap.runs DROP COLUMN held;"
        " ALTER TABLE songswap.steps DROP COLUMN kind;"
        " UPDATE songswap.grants SET state = 'revoked' WHERE state = 'lost';"
        " ALTER TABLE songswap.runs DROP CONSTRAINT runs_state_check,"
        " ADD CONSTRAINT runs_state_check CHECK (state IN ('running', 'success', 'failed'));"
        " ALTER TABLE songswap.grants DROP CONSTRAINT grants_state_check,"
        " ADD CONSTRAINT grants_state_check"
        " CHECK (state IN ('active', 'refused', 'revoked', 'forbidden')),"
        " DROP COLUMN forbidden_runs, DROP COLUMN unanswered_at,"
        " ADD COLUMN access_digest bytea, ADD COLUMN expires_at timestamptz;"
        " ALTER TABLE songswap.steps DROP COLUMN outcomes;"
        " ALTER TABLE songswap.metadata DROP COLUMN misses;"
        " DROP FUNCTION songswap.current_tokens;"
        " DROP TABLE songswap.tokens, songswap.token_exchanges, songswap.notices,"
        " songswap.track_forms"
    )
