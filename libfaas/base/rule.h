/*
 * rule.h - the guards and rules of the durable protocol, each with a switch for the simulation
 *
 * fa_rule(X) is true in the library.  The simulation compiles core/ and store/memory.c once more
 * with FA_SIM defined; there a rule can be switched off, and tests/sim proves that the loss turns
 * seeds red.  A rule whose removal breaks nothing is not kept.  docs/ARCHITECTURE.md lists them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rules.h"

#define FA_RULE_ENUM_(name, text) FA_RULE_##name,
enum fa_rule { FA_RULES(FA_RULE_ENUM_) _FA_RULE_N };
#undef FA_RULE_ENUM_

#ifdef FA_SIM
extern uint64_t fa_rules_off; /* bit FA_RULE_X: rule X is switched off */
#define fa_rule(name) (!((fa_rules_off >> FA_RULE_##name) & 1))
#else
#define fa_rule(name) true
#endif
