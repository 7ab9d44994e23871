{"type":"BOOKMARK","object":{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"1450"}}}
