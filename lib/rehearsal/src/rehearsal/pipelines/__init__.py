"""What KFP and Argo make of a pipeline, as far as Kubernetes sees it: a Workflow, and its pods."""
