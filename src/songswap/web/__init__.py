"""HTTP for every service: bounded bodies, no redirects, no proxies."""
