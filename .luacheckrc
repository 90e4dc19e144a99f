std = "lua54"
max_line_length = 120
cache = false
exclude_files = { "build", "tests/**/node_modules", "tests/hostile" }
files["lua/meta"] = { ignore = { "2..", "3..", "6.." } }
