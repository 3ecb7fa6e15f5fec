"""Pictures by matplotlib: functions from arrays to pixels. The only package that imports matplotlib outside of the laboratory."""
