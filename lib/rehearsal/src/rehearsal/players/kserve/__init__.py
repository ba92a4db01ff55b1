"""KServe's programs: controllers and webhooks of inference services and what is around them."""
