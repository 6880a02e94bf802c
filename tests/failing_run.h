/* SPDX-License-Identifier: MIT */
/* Tests that have ioctl() replaced by the linker: the next KVM_RUN fails with this, when it is not 0. */
#ifndef KVMSB_TESTS_FAILING_RUN_H
#define KVMSB_TESTS_FAILING_RUN_H

extern int kvm_run_error;

#endif
