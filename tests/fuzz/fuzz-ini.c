/* tests/fuzz/fuzz-ini.c - configuration files of any content */
#include <stdlib.h>

#include "common/ini.h"
#include "common/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	bool flag;
	int64_t number;
	uint64_t size;
	char *text;
	int mode;
	uint32_t address;
	uint8_t mac[6];
};

static const char *const modes[] = { "Nat", "None", NULL };
static const struct ini_key keys[] = {
	{ "a.flag", INI_BOOL, offsetof(struct target, flag) },
	{ "a.number", INI_INT, offsetof(struct target, number) },
	{ "a.size", INI_SIZE, offsetof(struct target, size) },
	{ "a.text", INI_STRING, offsetof(struct target, text) },
	{ "a.mode", INI_ENUM, offsetof(struct target, mode), modes },
	{ "a.address", INI_IPV4, offsetof(struct target, address) },
	{ "a.mac", INI_MAC, offsetof(struct target, mac) },
	{ "b.text", .alias_of = "a.text" },
};

static void warn(const char *text, void *arg)
{
	*(size_t *)arg += strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ini_schema schema = { .keys = keys,
					   .n_keys = ARRAY_SIZE(keys),
					   .stop_at_invalid_line = size > 0 && data[0] & 1 };
	struct target t = { 0 };
	size_t said = 0;

	ini_parse(&schema, "F", (const char *)data, size, &t, warn, &said);
	free(t.text);
	return 0;
}
