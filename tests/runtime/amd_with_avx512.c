/* Preloaded into a program: lets it see an AMD CPU with AVX-512 (Zen 5) on an Intel CPU that has it.
 *
 * QEMU emulates no AVX-512. Linux can make the instruction CPUID fault on such CPUs (arch_prctl(2),
 * ARCH_SET_CPUID); the handler executes it and writes AMD's answers into what it found. What was started
 * before the library (the dynamic linker, the C library's choice of kernels) has seen the real CPU, and
 * instructions compute as the real CPU does.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define SET_CPUID 0x1012 /* ARCH_SET_CPUID of asm/prctl.h */
#define NOT_POSSIBLE 77
#define KIB 1024u

static long let_cpuid(unsigned long run) { return syscall(SYS_arch_prctl, SET_CPUID, run); }

/* eax, ebx, ecx, edx as Zen 5 answers (AMD64 Architecture Programmer's Manual, volume 3, appendix E). */
static void answer(uint32_t leaf, uint32_t subleaf, uint32_t found[4]) {
    __cpuid_count(leaf, subleaf, found[0], found[1], found[2], found[3]);
    switch (leaf) {
    case 0x0:
    case 0x80000000:
        found[0] = leaf + 0x10;
        memcpy(&found[1], "Auth", 4);
        memcpy(&found[3], "enti", 4);
        memcpy(&found[2], "cAMD", 4);
        break;
    case 0x1: /* family 26 */
        found[0] = 0x00B00F21;
        break;
    case 0x7: /* without AMX, FP16 and transactional memory */
        if (subleaf == 0) {
            found[1] &= ~((1u << 4) | (1u << 11));
            found[3] &= ~((1u << 22) | (1u << 23) | (1u << 24) | (1u << 25));
        }
        break;
    case 0x2: /* Intel's descriptions of caches */
    case 0x4:
        memset(found, 0, 4 * sizeof found[0]);
        break;
    case 0x80000006: /* 1 MiB of second-level cache for a core, 32 MiB of third-level cache */
        found[2] = (1 * KIB << 16) | 0x6140;
        found[3] = (64u << 18) | 0x9140;
        break;
    }
}

static void handle(int signal_number, siginfo_t *information, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (information->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
        signal(signal_number, SIG_DFL);
        return;
    }
    uint32_t found[4];
    let_cpuid(1);
    answer((uint32_t)registers[REG_RAX], (uint32_t)registers[REG_RCX], found);
    let_cpuid(0);
    registers[REG_RAX] = found[0];
    registers[REG_RBX] = found[1];
    registers[REG_RCX] = found[2];
    registers[REG_RDX] = found[3];
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || sigaction(SIGSEGV, &action, NULL) || let_cpuid(0))
        _exit(NOT_POSSIBLE);
}
