/* tests/fuzz/fuzz-dns.c - a guest's DNS query against a hosts file */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "names/hosts.h"
#include "names/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hosts *hosts;
	struct question q;
	uint8_t reply[1024];

	if (!hosts)
		hosts = hosts_new("/etc/hosts");
	if (question_parse(data, size, &q) == 0 && q.end > size)
		abort();
	if (hosts_answer(hosts, data, size, reply, sizeof(reply)) > (long)sizeof(reply))
		abort();
	return 0;
}
