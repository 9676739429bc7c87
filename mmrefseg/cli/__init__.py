"""The command ``mmrefseg``: one verb a job, each a thin front of a tool or of the inferencers."""
