"""Which kinds of marks may be in which column, and which of them are rare.

docs/privacy.md has the same by tables; `marks.MARKS` has the marks.
"""

COLUMNS: dict[str, set[str]] = {
    "Users.id": {"user id"},
    "Users.username": {"name"},
    "Users.email": {"e-mail"},
    "Users.spotify_id": {"Spotify id"},
    "SpotifyTokens.id": {"user id"},
    "SpotifyTokens.access_token": {"token"},
    "SpotifyTokens.refresh_token": {"token"},
    "History.user_id": {"user id"},
    "History.track_id": {"track id"},
    "Tracks.id": {"track id"},
    "Tracks.name": {"track"},
    "ArtistTracks.track_id": {"track id"},
    "ArtistTracks.artist_id": {"track id"},
    "Artists.id": {"track id"},
    "Artists.name": {"track"},
    "TrackFeatures.id": {"track id"},
    "TrackPopularity.id": {"track id"},
    "ArtistFollowers.id": {"track id"},
    "ArtistGenres.id": {"track id"},
    "ArtistImages.id": {"track id"},
    "ArtistPopularity.id": {"track id"},
    "songswap.polls.user_id": {"user id"},
    "songswap.gaps.user_id": {"user id"},
    "songswap.rejected_items.user_id": {"user id"},
    "songswap.rejected_items.raw_key": {"user id"},
    "songswap.rejected_items.run_id": {"user id"},
    "songswap.grants.user_id": {"user id"},
    "songswap.tokens.user_id": {"user id"},
    "songswap.tokens.access_token": {"token"},
    "songswap.tokens.refresh_token": {"token"},
    "songswap.token_exchanges.user_id": {"user id"},
    "songswap.cut_off_exchanges.user_id": {"user id"},
    "songswap.streams.user_id": {"user id"},
    "songswap.streams.track_id": {"track id", "private session"},
    "songswap.streams.track_name": {"track"},
    "songswap.streams.artist_name": {"track"},
    "songswap.streams.platform": {"device"},
    "songswap.imports.import_id": {"user id"},
    "songswap.imports.user_id": {"user id"},
    "songswap.imports.raw_keys": {"user id"},
    "songswap.export_tracks.id": {"track id", "private session"},
    "songswap.export_tracks.name": {"track", "private session"},
    "songswap.export_tracks.artist": {"track"},
    "songswap.export_tracks.album": {"track"},
    "songswap.estimated_durations.id": {"track id"},
    "songswap.enrichment_queue.id": {"track id"},
    "songswap.track_forms.id": {"track id"},
    "songswap.data_fixes.id": {"track id"},
    "songswap.steps.first_user": {"user id"},
    "songswap.steps.last_user": {"user id"},
    "songswap.steps.users": {"user id"},
    "songswap.steps.outcomes": {"user id"},
    "songswap.erasures.user_id": {"user id"},
    "songswap.disconnects.user_id": {"user id"},
    "songswap.snapshots.facts": {"user id"},
    "songswap.notices.subject": {"user id"},
    "songswap.runs.problem": {"user id"},
    "songswap.spools.problem": {"user id"},
    "TrackImages.id": {"track id"},
    "TrackPreviews.id": {"track id"},
    "airflow.log.extra": {"user id", "file name"},
    "airflow.hitl_detail.subject": {"user id"},
    "airflow.dag_run.conf": {"user id", "file name"},
    "airflow.xcom.value": {"user id", "track id", "file name"},
    "airflow.rendered_task_instance_fields.rendered_fields": {"user id", "track id", "file name"},
}
"""The kinds that a column may have; no other column has any."""

RARE = {
    "TrackImages.id",  # the marked tracks have no images
    "TrackPreviews.id",
    "songswap.erasures.user_id",  # nobody is erased
    "songswap.disconnects.user_id",
    "songswap.snapshots.facts",  # nobody has a gap
    "songswap.notices.subject",  # nobody has to be erased
    "songswap.runs.problem",  # tokens were lost
    "songswap.spools.problem",  # a response is damaged
    "airflow.log.extra",  # a run was started through Airflow's API
    "airflow.hitl_detail.subject",  # somebody was asked
    "songswap.cut_off_exchanges.user_id",  # a claim expired while its process was frozen
    "songswap.gaps.user_id",  # more plays than Spotify remembers
    "songswap.streams.track_name",  # of streams that no track was found for
    "songswap.streams.artist_name",
    "songswap.estimated_durations.id",  # Spotify has no length
    "songswap.steps.users",  # only while the limit does not serve all
    "songswap.token_exchanges.user_id",  # a process was killed
}
"""What this day does not bring about."""
