"""Pages without a tenant: landing, sign-up, log-in, choice of the tenant, language and theme."""
