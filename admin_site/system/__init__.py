"""How the platform is set up and how it does: settings, texts, firewall, audit, jobs, doors for programs, health."""
