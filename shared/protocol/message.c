/* shared/protocol/message.c - the tables behind message.h: codec and trace walk the same rows */
#include "protocol/message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/util.h"

enum field_kind { F_U32, F_U64, F_STR, F_STRV };

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
};

#define U32(t, m)  { #m, F_U32, offsetof(struct t, m) }
#define U64(t, m)  { #m, F_U64, offsetof(struct t, m) }
#define STR(t, m)  { #m, F_STR, offsetof(struct t, m) }
#define STRV(t, m) { #m, F_STRV, offsetof(struct t, m) }

/* Wire order is row order. A row array is named after its struct. */
static const struct field msg_none_fields[] = { { NULL, F_U32, 0 } };
static const struct field msg_text_fields[] = { STR(msg_text, text) };
static const struct field msg_number_fields[] = { U64(msg_number, number) };
static const struct field msg_hello_fields[] = {
	U32(msg_hello, version),   U32(msg_hello, role),    U64(msg_hello, id),
	U64(msg_hello, uptime_us), STR(msg_hello, release),
};
static const struct field msg_result_fields[] = {
	U32(msg_result, errnum),
	U32(msg_result, error),
	STR(msg_result, text),
	STR(msg_result, context),
};
static const struct field msg_progress_fields[] = {
	U64(msg_progress, done),
	U64(msg_progress, total),
	STR(msg_progress, phase),
};
static const struct field msg_distro_fields[] = {
	STR(msg_distro, name),	      STR(msg_distro, id),	  STR(msg_distro, base_path),
	STR(msg_distro, flavor),      STR(msg_distro, os_version), U32(msg_distro, state),
	U32(msg_distro, version),     U32(msg_distro, is_default), U32(msg_distro, default_uid),
	U32(msg_distro, run_oobe),    U32(msg_distro, sessions),  U64(msg_distro, image_bytes),
};
static const struct field msg_status_fields[] = {
	STR(msg_status, release),	 STR(msg_status, kernel),
	STR(msg_status, kernel_path),	 STR(msg_status, engine),
	STR(msg_status, default_distro), STR(msg_status, vm_state),
	STR(msg_status, remarks),	 U32(msg_status, default_version),
	U64(msg_status, memory_bytes),	 U64(msg_status, processors),
	U64(msg_status, vm_uptime_ms),	 STR(msg_status, networking_mode),
	STR(msg_status, guest_address),	 STR(msg_status, guest_address6),
	STR(msg_status, gateway),	 STR(msg_status, nameserver),
	STRV(msg_status, ports),	 STRV(msg_status, conflicts),
};
static const struct field msg_launch_fields[] = {
	STR(msg_launch, distro), STR(msg_launch, distro_id), STR(msg_launch, user),
	STR(msg_launch, cwd),	 STRV(msg_launch, argv),     STRV(msg_launch, env),
	U32(msg_launch, shell),	 U32(msg_launch, flags),     U32(msg_launch, rows),
	U32(msg_launch, cols),	 STRV(msg_launch, proxy),
};
static const struct field msg_launched_fields[] = {
	STR(msg_launched, relay_socket),
	U32(msg_launched, port),
	U32(msg_launched, streams),
	STR(msg_launched, timings),
};
static const struct field msg_shutdown_fields[] = { U32(msg_shutdown, force) };
static const struct field msg_import_fields[] = {
	STR(msg_import, name),	     STR(msg_import, location), STR(msg_import, source),
	U64(msg_import, size_bytes), U32(msg_import, flags),
};
static const struct field msg_imported_fields[] = {
	STR(msg_imported, name),
	STR(msg_imported, id),
};
static const struct field msg_export_fields[] = {
	STR(msg_export, name),
	STR(msg_export, format),
};
static const struct field msg_vm_config_fields[] = {
	STR(msg_vm_config, hostname),
	STR(msg_vm_config, timezone),
	STR(msg_vm_config, swap_device),
	STR(msg_vm_config, release),
};
static const struct field msg_launch_distro_fields[] = {
	U64(msg_launch_distro, instance),
	STR(msg_launch_distro, device),
	STR(msg_launch_distro, hostname),
	U64(msg_launch_distro, device_timeout_ms),
};
static const struct field msg_distro_exited_fields[] = {
	U64(msg_distro_exited, instance),
	U32(msg_distro_exited, status),
};
static const struct field msg_distro_config_fields[] = {
	STR(msg_distro_config, name),	  STR(msg_distro_config, hostname),
	STR(msg_distro_config, domain),	  STR(msg_distro_config, timezone),
	U32(msg_distro_config, default_uid), STR(msg_distro_config, hosts),
};
static const struct field msg_distro_ready_fields[] = {
	STR(msg_distro_ready, flavor),
	STR(msg_distro_ready, os_version),
	U32(msg_distro_ready, systemd),
};
static const struct field msg_create_session_fields[] = {
	U64(msg_create_session, session),     STR(msg_create_session, user),
	STR(msg_create_session, cwd),	      STRV(msg_create_session, argv),
	STRV(msg_create_session, env),	      U32(msg_create_session, shell),
	U32(msg_create_session, flags),	      U32(msg_create_session, rows),
	U32(msg_create_session, cols),	      U32(msg_create_session, default_uid),
};
static const struct field msg_session_created_fields[] = {
	U64(msg_session_created, session),
	U32(msg_session_created, port),
	U32(msg_session_created, pid),
	U32(msg_session_created, streams),
};
static const struct field msg_oobe_done_fields[] = {
	U64(msg_oobe_done, session),
	U32(msg_oobe_done, default_uid),
};
static const struct field msg_window_size_fields[] = {
	U32(msg_window_size, rows),
	U32(msg_window_size, cols),
};
static const struct field msg_exit_status_fields[] = { U32(msg_exit_status, status) };
static const struct field msg_relay_stats_fields[] = {
	U64(msg_relay_stats, connections),    U64(msg_relay_stats, opened),
	U64(msg_relay_stats, refused),	      U64(msg_relay_stats, bytes_to_guest),
	U64(msg_relay_stats, bytes_to_host),
};

static const struct field msg_net_config_fields[] = {
	STR(msg_net_config, mode),	  STR(msg_net_config, interface),
	STRV(msg_net_config, addresses4), STRV(msg_net_config, addresses6),
	U32(msg_net_config, deprecated6), STR(msg_net_config, gateway4),
	STR(msg_net_config, gateway6),	  U32(msg_net_config, mtu),
	STR(msg_net_config, dns_address),
	STRV(msg_net_config, nameservers), STRV(msg_net_config, search),
	U32(msg_net_config, localhost_forwarding), U32(msg_net_config, inbound),
	U32(msg_net_config, host_loopback),
};
static const struct field msg_port_fields[] = {
	STR(msg_port, address),
	U32(msg_port, protocol),
	U32(msg_port, port),
	U32(msg_port, stream),
};
static const struct field msg_image_info_fields[] = {
	STR(msg_image_info, distribution_conf),
	STR(msg_image_info, os_release),
	U64(msg_image_info, files),
	U64(msg_image_info, bytes),
};

struct message {
	uint16_t type;
	const char *name;
	const struct field *fields;
	size_t n_fields;
};

static const struct message messages[] = {
#define X(name, number, tag) { number, #name, tag##_fields, ARRAY_SIZE(tag##_fields) },
	MESSAGE_TYPES(X)
#undef X
};

#define X(name, number, tag)                                                                       \
	static_assert(sizeof(struct tag) <= sizeof(union message_any), #name " outgrew the union");
MESSAGE_TYPES(X)
#undef X

static const struct message *message_find(uint16_t type)
{
	for (const struct message *m = messages; m < messages + ARRAY_SIZE(messages); m++)
		if (m->type == type)
			return m;
	return NULL;
}

#define message_fields(f, m)                                                                       \
	for (const struct field *f = (m)->fields; f < (m)->fields + (m)->n_fields && f->name; f++)

const char *message_name(uint16_t type)
{
	const struct message *m = message_find(type);

	return m ? m->name : "?";
}

int message_header_decode(const uint8_t *bytes, struct message_header *ret)
{
	struct rd rd = rd_init(bytes, MESSAGE_HEADER);
	uint32_t kind;

	ret->length = rd_u32(&rd);
	kind = rd_u32(&rd);
	ret->type = (uint16_t)kind;
	ret->fds = (uint16_t)(kind >> 16);
	ret->seq = rd_u32(&rd);
	if (ret->length < MESSAGE_HEADER || ret->length > LIMIT_MESSAGE_BYTES ||
	    ret->fds > LIMIT_MESSAGE_FDS)
		return -EBADMSG;
	return message_find(ret->type) ? 0 : -EOPNOTSUPP;
}

int message_decode(uint16_t type, const uint8_t *payload, size_t len, void *ret_msg)
{
	const struct message *m = message_find(type);
	struct rd rd = rd_init(payload, len);

	if (!m)
		return -EOPNOTSUPP;
	message_fields(f, m)
	{
		void *at = (char *)ret_msg + f->offset;

		switch (f->kind) {
		case F_U32:
			*(uint32_t *)at = rd_u32(&rd);
			break;
		case F_U64:
			*(uint64_t *)at = rd_u64(&rd);
			break;
		case F_STR:
			*(const char **)at = rd_str(&rd);
			break;
		case F_STRV:
			*(struct strv *)at = rd_strv(&rd);
			break;
		}
	}
	return rd_done(&rd);
}

static void put_fields(const struct message *m, const void *msg, struct wr *wr)
{
	message_fields(f, m)
	{
		const void *at = (const char *)msg + f->offset;

		switch (f->kind) {
		case F_U32:
			wr_u32(wr, *(const uint32_t *)at);
			break;
		case F_U64:
			wr_u64(wr, *(const uint64_t *)at);
			break;
		case F_STR:
			wr_str(wr, *(const char *const *)at);
			break;
		case F_STRV:
			wr_strv(wr, at);
			break;
		}
	}
}

size_t message_size(uint16_t type, const void *msg)
{
	const struct message *m = message_find(type);
	struct wr wr = wr_init(NULL, 0);

	if (m)
		put_fields(m, msg, &wr);
	return MESSAGE_HEADER + wr.used;
}

ssize_t message_encode(uint16_t type, uint32_t seq, unsigned fds, const void *msg, uint8_t *buf,
		       size_t size)
{
	const struct message *m = message_find(type);
	size_t length = message_size(type, msg);
	struct wr wr = wr_init(buf, size);

	if (!m)
		return -EOPNOTSUPP;
	if (length > LIMIT_MESSAGE_BYTES || fds > LIMIT_MESSAGE_FDS)
		return -EMSGSIZE;
	wr_u32(&wr, (uint32_t)length);
	wr_u32(&wr, type | (uint32_t)fds << 16);
	wr_u32(&wr, seq);
	put_fields(m, msg, &wr);
	return wr_done(&wr);
}

static size_t trace_field(const struct field *f, const void *at, char *buf, size_t size)
{
	int n = 0;

	switch (f->kind) {
	case F_U32:
		n = snprintf(buf, size, " %s=%u", f->name, *(const uint32_t *)at);
		break;
	case F_U64:
		n = snprintf(buf, size, " %s=%llu", f->name,
			     (unsigned long long)*(const uint64_t *)at);
		break;
	case F_STR:
		n = snprintf(buf, size, " %s='%s'", f->name, *(const char *const *)at);
		break;
	case F_STRV:
		n = snprintf(buf, size, " %s=[%u]", f->name, ((const struct strv *)at)->n);
		break;
	}
	return n < 0 ? 0 : MIN((size_t)n, size ? size - 1 : 0);
}

const char *message_trace(uint16_t type, const void *msg, char *buf, size_t size)
{
	const struct message *m = message_find(type);
	size_t used = (size_t)snprintf(buf, size, "%s", message_name(type));

	if (!m)
		return buf;
	message_fields(f, m)
	{
		if (used + 1 < size)
			used += trace_field(f, (const char *)msg + f->offset, buf + used, size - used);
	}
	return buf;
}
