"""What a charm with an admission webhook needs: a certificate that the API server trusts."""
