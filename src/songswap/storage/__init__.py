"""Raw responses, stored before they are parsed: the spool on disk, the archive in S3; exports."""
