"""The platform's own console: tenants, engines, unknown devices, the platform's log. For platform owners only."""
