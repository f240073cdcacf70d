package backends

// Section is the mapping below a key of a configuration, which it adds if there is none.
func Section(config map[string]any, key string) map[string]any {
	found, ok := config[key].(map[string]any)
	if !ok {
		found = map[string]any{}
		config[key] = found
	}
	return found
}
