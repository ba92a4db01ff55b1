"""The cluster network as the API server sees it: Services, pod addresses, and the programs behind them."""
