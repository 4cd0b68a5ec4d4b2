#!/usr/bin/env python3
"""embed.py OUT NAME=FILE+FILE... - Lua scripts as C strings: comments and indents go, lines stay

A script is the files one after the other.  Its name becomes fa_redis_lua_NAME.
"""

import sys


def lines(path):
    with open(path, encoding='utf-8') as file:
        for line in file:
            text = line.strip()
            if text and not text.startswith('--'):
                yield text


def main(out, *scripts):
    with open(out, 'w', encoding='utf-8') as file:
        file.write('/* made by embed.py */\n#include "store/redis-scripts.h"\n')
        for script in scripts:
            name, _, paths = script.partition('=')
            text = ''.join(line + '\n' for path in paths.split('+') for line in lines(path))
            # Numbers: a literal may be 4,095 characters long at most.
            numbers = [str(byte) for byte in text.encode('ascii')] + ['0']
            file.write(f'\nconst char fa_redis_lua_{name}[] = {{\n')
            for i in range(0, len(numbers), 20):
                file.write('        ' + ', '.join(numbers[i:i + 20]) + ',\n')
            file.write('};\n')


main(*sys.argv[1:])
