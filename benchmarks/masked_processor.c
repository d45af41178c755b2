// Preloaded into a program: it sees a processor without some features, as on an older machine of the same speed.
//
// Linux lets a process trap CPUID where the processor can (`cpuid_fault` in /proc/cpuinfo). The trap executes the
// instruction and takes bits out of what it says. PQRNN_MASK has them: "leaf,subleaf,register,bits;" in hexadecimal,
// with registers 0 to 3 for EAX to EDX.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MOST 64  // registers with bits to take out

static struct { unsigned leaf, subleaf, place, bits; } masks[MOST];
static int count;

static void trap(int signal_number, siginfo_t *information, void *given) {
  ucontext_t *context = given;
  greg_t *registers = context->uc_mcontext.gregs;
  const uint8_t *code = (const uint8_t *)registers[REG_RIP];
  (void)information;
  if (code[0] != 0x0f || code[1] != 0xa2) {  // no CPUID: an error of the program, which it meets again without this
    signal(signal_number, SIG_DFL);
    return;
  }
  unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX], told[4];
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
  __cpuid_count(leaf, subleaf, told[0], told[1], told[2], told[3]);
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
  for (int index = 0; index < count; index++)
    if (masks[index].leaf == leaf && masks[index].subleaf == subleaf) told[masks[index].place] &= ~masks[index].bits;
  registers[REG_RAX] = told[0];
  registers[REG_RBX] = told[1];
  registers[REG_RCX] = told[2];
  registers[REG_RDX] = told[3];
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void) {
  const char *wanted = getenv("PQRNN_MASK");
  for (; wanted && *wanted && count < MOST; count++) {
    if (sscanf(wanted, "%x,%x,%x,%x;", &masks[count].leaf, &masks[count].subleaf, &masks[count].place, &masks[count].bits) != 4) _exit(126);
    wanted = strchr(wanted, ';') + 1;
  }
  struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0);
  if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0)) {
    fputs("this processor cannot trap CPUID\n", stderr);
    _exit(126);
  }
}
