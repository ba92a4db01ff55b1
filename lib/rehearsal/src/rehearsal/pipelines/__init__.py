"""Turn a pipeline into its Kubernetes objects, as KFP and Argo do: a Workflow and its pods."""
