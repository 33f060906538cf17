/* guest/netconf/resolv.h - the resolv.conf that all distributions share */
#ifndef GUEST_NETCONF_RESOLV_H
#define GUEST_NETCONF_RESOLV_H

struct strv;

/* Replaces /mnt/wsl/resolv.conf; without name servers it is removed. 0 or -errno. */
int resolv_write(const struct strv *nameservers, const struct strv *search);

#endif
