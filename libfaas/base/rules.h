/* rules.h - the list of the rules: name, and what goes wrong without it */
#pragma once

#define FA_RULES(X) X(COMMIT_FIRST, "nobody is told of a change that the store does not have")
