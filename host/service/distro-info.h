/* host/service/distro-info.h - what an image tells about its distribution
 *
 * From the texts of /etc/wsl-distribution.conf and /etc/os-release (spec distros.md section 2 step 5).
 */
#ifndef HOST_SERVICE_DISTRO_INFO_H
#define HOST_SERVICE_DISTRO_INFO_H

struct msg_image_info;

struct distro_info {
	char *default_name; /* oobe.defaultName, or NULL */
	char *flavor, *os_version; /* ID and VERSION_ID if valid, or NULL */
};

void distro_info_read(struct distro_info *ret, const struct msg_image_info *msg);
void distro_info_done(struct distro_info *info);

#endif
