# Writes OUT with the version and what `git describe` says of SOURCE, if that changed: `cmake -DOUT= -DSOURCE= -DVERSION= -P`.
execute_process(COMMAND git -C ${SOURCE} describe --always --tags --dirty --abbrev=10
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")   # no git, or no checkout
endif()
set(text "#pragma once\n#define CSTP_VERSION \"${VERSION}\"\n#define CSTP_COMMIT \"${commit}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
