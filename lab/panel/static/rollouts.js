// Rollouts are drawn once the API has them.
