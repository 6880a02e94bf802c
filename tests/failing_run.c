/* SPDX-License-Identifier: MIT */
/* ioctl() with a KVM_RUN that fails when it is told to; see failing_run.h. */
#include "failing_run.h"

#include <errno.h>
#include <linux/kvm.h>

int kvm_run_error;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (request != KVM_RUN || kvm_run_error == 0)
		return __real_ioctl(fd, request, argument);
	errno = kvm_run_error;
	kvm_run_error = 0;
	return -1;
}
