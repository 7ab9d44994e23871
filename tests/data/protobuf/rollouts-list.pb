{"apiVersion":"argoproj.io/v1alpha1","items":[],"kind":"RolloutList","metadata":{"continue":"","resourceVersion":"1450"}}
