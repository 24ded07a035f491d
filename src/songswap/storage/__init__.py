"""Raw answers, kept before anything is read out of them: the spool on disk, the archive in S3."""
