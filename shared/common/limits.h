/* shared/common/limits.h - every limit a guest, a client or a file can run into, by name */
#ifndef SHARED_COMMON_LIMITS_H
#define SHARED_COMMON_LIMITS_H

#define LIMIT_MESSAGE_BYTES	 (4u << 20) /* one control message, arguments and environment included */
#define LIMIT_MESSAGE_FDS	 8u	    /* descriptors attached to one message */
#define LIMIT_ARGV_WORDS	 65536u	    /* words of one argument or environment vector */
#define LIMIT_CHANNEL_QUEUE	 (16u << 20) /* bytes queued on a channel before its peer is dropped */
#define LIMIT_CLIENTS		 1024u	    /* clients of one service */
#define LIMIT_SESSIONS		 4096u	    /* sessions of one distribution */
#define LIMIT_DISTRO_NAME_BYTES	 256u	    /* spec cli.md section 5 */
#define LIMIT_DISKS		 15u	    /* ubd units beside the swap disk */
#define LIMIT_INI_BYTES		 (1u << 20) /* a configuration file */
#define LIMIT_MANIFEST_BYTES	 (8u << 20) /* a distribution list */
#define LIMIT_VSOCK_CONNECTIONS	 16384u	    /* streams between one guest and its host */
#define LIMIT_NET_SOCKETS	 16384u	    /* host sockets for connections of one guest */
#define LIMIT_HOST_ADDRESSES	 32u	    /* addresses of the host that a guest has, of each family */
#define LIMIT_GUEST_ADDRESSES	 (LIMIT_HOST_ADDRESSES + 1) /* and its own */
#define LIMIT_HOSTS_BYTES	 (1u << 20) /* the host's hosts file, when it is copied */
#define LIMIT_CONSOLE_LOG_BYTES	 (4u << 20) /* kernel console kept per VM */

#endif
