"""Time: what has to happen without anyone asking. Thin loops over operations; one process leads by a lease.

A job is a function that is called again and again (runner.Job). It takes no decision: that is the domain's.
"""
